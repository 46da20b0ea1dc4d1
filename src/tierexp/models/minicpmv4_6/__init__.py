"""MiniCPM-V 4.6: what an image costs."""
