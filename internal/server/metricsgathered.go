package server

import "github.com/prometheus/client_golang/prometheus"

// gathered are several collectors that are one.
type gathered []prometheus.Collector

// Describe implements prometheus.Collector.
func (all gathered) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range all {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (all gathered) Collect(ch chan<- prometheus.Metric) {
	for _, c := range all {
		c.Collect(ch)
	}
}
