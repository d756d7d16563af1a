"""Networks: chains of blocks, whose layers declare which axes they mix."""
