"""Published HuBERT, wav2vec 2.0 and AV-HuBERT: from others' names and settings to ours.

Pure functions of names, shapes and plain settings; tensors never come here.
"""
