"""`report.html`: a run as one page, with its graphs drawn, and what opens it."""
