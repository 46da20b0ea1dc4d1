"""Figures from results files. Needs the extra `report`: matplotlib."""
