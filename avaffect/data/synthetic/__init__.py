"""Voices made from a seed: emotional speech-like recordings for a machine that has none.

`emotion` says what an emotion does to prosody, `speaker` who speaks, `score` what is said and when,
`voice` turns a score into sound, `channel` records it, `corpus` plans and writes whole corpora.
"""
