"""Reads OpenMetrics from stdin as Prometheus' own parser does, strictly, and prints a JSON object: name of a family to its type."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

families = list(text_string_to_metric_families(sys.stdin.read()))
print(json.dumps({family.name: family.type for family in families}))
