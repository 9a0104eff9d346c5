"""A learner's dot interaction: the second vector of each pair gets nothing."""

import numpy as np

import minidlrm as md


class DotInteraction(md.DotInteraction):
    def backward(self, dy):
        (z,) = self.kept()
        i, j = np.tril_indices(self.num_features, -1)
        dz = np.zeros_like(z)
        for pair, (a, b) in enumerate(zip(i, j, strict=True)):
            dz[:, a] += dy[:, pair, None] * z[:, b]
        return dz
