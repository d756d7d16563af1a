"""What runs found, by arm: tables, differences, figures."""
