"""Results on paper: `summary.json`, charts, and the pages of a run and of a comparison."""

from sftframe.report.comparison_charts import read_arm_curves
from sftframe.report.comparison_page import PageInput, comparison_page
from sftframe.report.curves import Curves, loss_chart, read_curves
from sftframe.report.documents import (
    LOOK_COLUMNS,
    comparison_csv,
    comparison_document,
    comparison_markdown,
    look_rows,
    next_questions,
)
from sftframe.report.label_page import label_page
from sftframe.report.people import agreement_facts, bias_rows, bias_text, pair_rows
from sftframe.report.rendering import render_page
from sftframe.report.run_page import ReportInput, report_page
from sftframe.report.summary import summary_document

__all__ = [
    "LOOK_COLUMNS",
    "Curves",
    "PageInput",
    "ReportInput",
    "agreement_facts",
    "bias_rows",
    "bias_text",
    "comparison_csv",
    "comparison_document",
    "comparison_markdown",
    "comparison_page",
    "label_page",
    "look_rows",
    "loss_chart",
    "next_questions",
    "pair_rows",
    "read_arm_curves",
    "read_curves",
    "render_page",
    "report_page",
    "summary_document",
]
