package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

func TestSharing(t *testing.T) {
	badEnv(t)
	if s := mustParse(t, minimal).Sharing(); len(s.Peers) > 0 {
		t.Errorf("shares with %v", s.Peers)
	}
	got := mustParse(t, minimal+"peers: {self: b, daemons: [{name: a, weight: 3, instance: 5ca1e4000002}, {name: b}]}\n").Sharing()
	want := plan.Sharing{Self: "b", Handover: 10 * time.Second, Peers: []plan.Peer{{Name: "a", Weight: 3, Instance: "5ca1e4000002"}, {Name: "b", Weight: 1}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPeerIsFoundByTheNameOfTheMachine(t *testing.T) {
	badEnv(t)
	host, err := os.Hostname()
	if err != nil {
		t.Skip("the machine has no name")
	}
	short, _, _ := strings.Cut(host, ".")
	c := mustParse(t, minimal+fmt.Sprintf("peers: {daemons: [{name: elsewhere}, {name: %q}]}\n", short))
	if c.Peers.Self != short {
		t.Errorf("self is %q, want %q", c.Peers.Self, short)
	}
	_, err = Parse("test.yaml", []byte(minimal+"peers: {daemons: [{name: one}, {name: two}]}\n"))
	want := fmt.Sprintf("peers.self: this machine is called %q, which is none of peers.daemons: write here which of one, two this daemon is", host)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Parse = %v, want %q", err, want)
	}
}
