"""The suite is a host's: it runs on its own, from an empty folder, against the built wheel."""

collect_ignore = ["suite", "django_site", "migrations"]
