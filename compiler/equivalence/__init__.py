"""What two plans compute alike, told from their traces."""
