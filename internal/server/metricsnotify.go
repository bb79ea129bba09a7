package server

import "github.com/prometheus/client_golang/prometheus"

// Deliveries counts notifications by target. It is safe for concurrent use.
type Deliveries struct {
	gathered
	messages *prometheus.CounterVec
	dropped  *prometheus.CounterVec
}

// NewDeliveries returns Deliveries that have counted nothing yet.
func NewDeliveries() *Deliveries {
	d := &Deliveries{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scaler_notifications_total", Help: "Notifications that were sent, or failed after all tries, by target and outcome.",
		}, []string{"target", "outcome"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scaler_notification_events_dropped_total", Help: "Events that were to be told and were not, since there were too many, they got too old or could not be sent, by target.",
		}, []string{"target"}),
	}
	d.gathered = gathered{d.messages, d.dropped}
	return d
}

// Notified counts a message that has arrived, or was given up.
func (d *Deliveries) Notified(target string, arrived bool) {
	outcome := "failed"
	if arrived {
		outcome = "sent"
	}
	d.messages.WithLabelValues(target, outcome).Inc()
}

// Dropped counts events that were to be told and are not.
func (d *Deliveries) Dropped(target string, events int) {
	d.dropped.WithLabelValues(target).Add(float64(events))
}

// Forget ends the counting for a target that is no more.
func (d *Deliveries) Forget(target string) {
	d.messages.DeletePartialMatch(prometheus.Labels{"target": target})
	d.dropped.DeleteLabelValues(target)
}
