"""The fused engine: K trainings at once, each with a step of its own, and each the training that ``sequential`` does.

engine     which training is in which slot: refill, evaluations, endings, checkpoints, memory
slot       one training in a slot: what ``sequential`` keeps in its local variables
bank       the numbers of K trainings as tensors of K rows, and one update of all of them
program    loss and gradients of K models at once, traced once
updates    the optimizers, for rows that each have settings and a clock of their own
layout     how a model lies in a row
fitting    why a workload cannot be trained so
"""
