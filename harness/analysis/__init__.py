"""What records mean: validity, statistics, comparisons, advice, predictions. Pure: values in, values out.

In comes what a session measured (``values.record``) and what hosts are (``values.facts``); out go findings, summaries,
matrices and advice, which ``report`` puts into words. Begin with ``matrix.build_matrix`` (records to compared rows),
``validity.judge_record`` (records to findings), ``predictions.predict`` and ``checks.judge_host``.
"""
