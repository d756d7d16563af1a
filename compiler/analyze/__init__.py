"""What a plan costs and what its estimates are worth."""
