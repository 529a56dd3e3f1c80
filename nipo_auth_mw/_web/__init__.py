"""HTTP: the middleware's own pages, and the checks around the host app."""
