"""Networks: chains of blocks of layers that declare their axes."""
