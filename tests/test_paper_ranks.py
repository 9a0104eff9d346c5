"""Section 3: four ranks of one process train the model of one, and every byte is counted."""

import numpy as np
import pytest

from minidlrm.paper import Options, ranks


def test_the_section_is_reproduced(monkeypatch):
    monkeypatch.setattr(ranks, "STEPS", 1)
    findings = ranks.run(Options())
    assert [claim.verdict for claim in findings.claims] == ["reproduced"] * 5
    ((_, *rows),) = findings.tables.values()
    assert "vectors" in dict(rows)


def test_a_slice_that_goes_astray_and_a_bit_that_differs_are_seen():
    right = ranks.shuffle()
    assert ranks._shuffled(right).holds
    assert not ranks._shuffled(right[::-1]).holds
    logits = np.ones(5, np.float32)
    assert ranks._same(logits, logits).holds
    assert not ranks._same(logits, np.nextafter(logits, 2, dtype=np.float32)).holds


@pytest.mark.parametrize("what", ["vectors", "gradients", "all reduce"])
def test_a_byte_too_many_is_seen(what):
    clicks = ranks.synthetic_clicks(100, num_tables=ranks.TABLES)
    vectors = ranks.STEPS * 4 * ranks.BATCH * ranks.TABLES * ranks.DIM * 3 // 4
    model = ranks._model(clicks, 0)
    mlps = model.num_parameters() - model.embeddings.weight.value.size
    sent = {"vectors": vectors, "gradients": vectors, "all reduce": ranks.STEPS * 4 * mlps * 8}
    assert all(claim.holds for claim in ranks._bytes(clicks, sent))
    wrong = ranks._bytes(clicks, sent | {what: sent[what] + 1})
    assert sum(not claim.holds for claim in wrong) == 1
