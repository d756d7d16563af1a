"""All text, HTML and pictures for people."""
