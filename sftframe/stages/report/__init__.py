"""The last stage: a run's records as `summary.json`, `loss.png` and `report.html`."""

from sftframe.stages.report.charts import loss_chart, loss_svg
from sftframe.stages.report.curves import Curves, read_curves
from sftframe.stages.report.page import ReportInput, report_page
from sftframe.stages.report.summary import parse_summary, summary_document
from sftframe.stages.report.tokens import ShownToken

__all__ = [
    "Curves",
    "ReportInput",
    "ShownToken",
    "loss_chart",
    "loss_svg",
    "parse_summary",
    "read_curves",
    "report_page",
    "summary_document",
]
