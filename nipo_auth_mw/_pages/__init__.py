"""What pages are made of: templates, texts, static files."""
