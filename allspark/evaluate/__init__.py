"""How good it is: protocols (episodes, zero-shot, linear probe), cheap baselines, and the league table.

`episodes` draws N-way K-shot tasks whose support and query share no group and scores features on them, `zeroshot`
compares features with label texts, `probe` trains a linear classifier, `baselines` computes features without a model,
`quick` runs all of them on one source and `report` prints and writes the table.
"""
