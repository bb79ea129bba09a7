package server

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestDeliveries(t *testing.T) {
	d := NewDeliveries()
	d.Notified("ops", true)
	d.Notified("ops", true)
	d.Notified("ops", false)
	d.Dropped("ops", 4)
	d.Notified("gone", false)
	d.Dropped("gone", 1)
	d.Forget("gone")
	want := `
# HELP scaler_notification_events_dropped_total Events that were to be told and were not, since there were too many, they got too old or could not be sent, by target.
# TYPE scaler_notification_events_dropped_total counter
scaler_notification_events_dropped_total{target="ops"} 4
# HELP scaler_notifications_total Notifications that were sent, or failed after all tries, by target and outcome.
# TYPE scaler_notifications_total counter
scaler_notifications_total{outcome="failed",target="ops"} 1
scaler_notifications_total{outcome="sent",target="ops"} 2
`
	if err := testutil.CollectAndCompare(d, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestDeliveriesAreAmongTheMetrics(t *testing.T) {
	ours, _ := exposition(t, WebConfig{Notifications: oneDelivery()}, busyStatus(), nil)
	if !strings.Contains(ours, `scaler_notifications_total{outcome="sent",target="ops"} 1`) {
		t.Errorf("metrics\n%s", ours)
	}
}
