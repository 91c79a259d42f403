"""Pictures of the dashboards for the documentation, drawn from their JSON and a real Prometheus' answers.

Not Grafana: the same panels, queries, units and thresholds in a plain drawing, for where Grafana is not at hand.
"""
