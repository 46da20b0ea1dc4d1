"""What an image costs in a family of vision-language models, from its size alone, without a model.

`plan` is the vocabulary, `registry` finds the families, `token_tiers` sizes images for a tier; the
other modules hold the rules that several families share. A family's own rule and settings are in
`tierexp.models.<family>.geometry`. Nothing here imports torch or transformers.
"""
