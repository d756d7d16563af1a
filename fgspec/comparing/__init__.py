"""Two specs side by side: fields, consequences, and what their estimates are worth."""
