"""The stored trees say what scikit-learn says, to the last digits."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from tierexp.errors import ConfigError, DataError
from tierexp.policies.chance import Boosting, ChanceModel, fit_chance, sigmoid, stored
from tierexp.results.codec import decode


def data(seed: int, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(rows, 6))
    table[:, 0] = rng.integers(0, 3, rows)
    table[rng.random(rows) < 0.2, 3] = -16.0
    chance = 1 / (1 + np.exp(-(table[:, 1] + table[:, 0] - 1 + 0.5 * (table[:, 3] < -9))))
    return table, (rng.random(rows) < chance).astype(float)


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_stored_trees_give_sklearns_probabilities(depth: int) -> None:
    table, right = data(depth)
    classifier = GradientBoostingClassifier(
        n_estimators=40, max_depth=depth, subsample=0.7, max_features=0.5, random_state=0
    ).fit(table, right)
    unseen, _ = data(99)
    edges = np.concatenate([unseen, np.nextafter(unseen, np.inf)])  # where thresholds could round
    ours = stored(classifier).predict(edges)
    assert np.abs(ours - classifier.predict_proba(edges)[:, 1]).max() < 1e-12


def test_the_file_gives_the_same_probabilities() -> None:
    table, right = data(1)
    model = stored(GradientBoostingClassifier(n_estimators=20, random_state=0).fit(table, right))
    again: ChanceModel = decode(ChanceModel, json.loads(json.dumps(dataclasses.asdict(model))))
    assert (again.predict(table) == model.predict(table)).all()


def test_calibration_is_sklearns_on_unseen_folds() -> None:
    table, right = data(2, 600)
    images = [f"image {n // 6}" for n in range(300)]
    cube, scores = table.reshape(300, 2, 6), right.reshape(300, 2)
    model, chances = fit_chance(cube, scores, images, Boosting(trees=30))
    # The calibration is the one that a second fit on the uncalibrated chances leaves as it is.
    logits = np.log(chances / (1 - chances)).reshape(-1, 1)
    second = LogisticRegression(C=1e6).fit(logits, scores.reshape(-1))
    assert second.coef_[0, 0] == pytest.approx(1, abs=1e-3)
    assert second.intercept_[0] == pytest.approx(0, abs=1e-3)
    assert model.slope != 1


def test_a_score_between_counts_as_both() -> None:
    table = np.zeros((100, 2, 1))
    table[:, 1] = 1.0
    scores = np.tile([0.25, 0.75], (100, 1))
    model, _ = fit_chance(table, scores, [str(n) for n in range(100)], Boosting(trees=200))
    assert model.predict(np.array([[0.0], [1.0]])) == pytest.approx([0.25, 0.75], abs=0.02)


def test_an_image_is_in_one_fold() -> None:
    """A feature that only names the image tells nothing of images that were not seen."""
    rng = np.random.default_rng(0)
    names = np.repeat(np.arange(60), 10)
    luck = rng.integers(0, 2, 60)[names].astype(float)
    table = np.stack([names.astype(float), rng.random(600)], axis=1)[:, None, :]
    _, chances = fit_chance(
        table, luck[:, None], [str(n) for n in names], Boosting(trees=60, leaf_rows=5)
    )
    assert abs(np.corrcoef(chances[:, 0], luck)[0, 1]) < 0.35


def test_what_cannot_be_fitted_is_said() -> None:
    with pytest.raises(ConfigError, match="all of one"):
        fit_chance(np.zeros((10, 1, 1)), np.ones((10, 1)), list("abcdefghij"), Boosting())
    with pytest.raises(DataError, match="4 images: a router is fitted on 5 or more"):
        fit_chance(np.zeros((10, 1, 1)), np.ones((10, 1)), list("abcdabcdab"), Boosting())


def test_the_logistic_function_does_not_overflow() -> None:
    assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
