"""What runs say together: comparison, figures, tables, the report.

Figures need matplotlib, the page Jinja2 and the tables pandas: extras `report` and `notebook`.
"""
