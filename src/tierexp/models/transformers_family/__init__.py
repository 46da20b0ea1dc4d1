"""Models of `transformers` whose images are sized by a family's plan and processed by the family's
own processor.
"""
