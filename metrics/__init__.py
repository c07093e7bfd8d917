"""Measurement: from images to labels, from labels to estimates.

- ``representation``, ``fairness``: measures as pure functions of shares, counts and embeddings
- ``base``, ``catalog``: the interface of a metric, and the registered metrics
- ``taxonomies``, ``vision``, ``judges``: groups, faces and pixels, classifiers of perceived attributes
- ``judge_quality``: accuracy, agreement and sensitivity of judges
- ``correction``: correction of shares for the judges' errors
- ``statistics``: intervals, tests, ranks, resampling, sample sizes
- ``table``, ``estimation``: the image and label tables, and the estimates of a run
- ``annotation``: sampling, reading and aggregation of human labels
"""
