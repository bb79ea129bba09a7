package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// monotonic is the time as systemd wants it beside RELOADING=1, by which it knows
// that this is the answer to its signal: see sd_notify(3).
func monotonic() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return ""
	}
	return fmt.Sprintf("\nMONOTONIC_USEC=%d", now.Nano()/1000)
}
