"""Synthetic talking faces from a seed, with emotional speech, for use without real recordings.

`emotion` says what an emotion does to prosody, `speaker` who speaks, `score` what is said and when,
`voice` turns a score into sound, `channel` records it, `corpus` plans and writes whole corpora.
`expression` says what an emotion and speech do to a face, `identity` whose face it is, `head` and
`features` draw it, `camera` films it, `clip` joins picture and sound in a file.
"""
