"""Control knobs of a model, one file each: settings, what they may be, how a model is set to them.

A knob of one's own is a file like these, anywhere, and an option of the group `knob` that names it.
"""
