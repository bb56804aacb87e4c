"""What a person sees: trees, tables, the progress and the result of a call, for terminals and for pipes.

Belongs here: rich, wording, layout. Never: asking the world anything; what is shown was found out elsewhere.
"""
