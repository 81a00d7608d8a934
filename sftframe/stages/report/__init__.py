"""The last stage: a run's records as `summary.json`, `loss.png` and `report.html`."""

from sftframe.stages.report.charts import loss_chart, loss_svg
from sftframe.stages.report.curves import Curves, read_curves
from sftframe.stages.report.summary import parse_summary, summary_document

__all__ = ["Curves", "loss_chart", "loss_svg", "parse_summary", "read_curves", "summary_document"]
