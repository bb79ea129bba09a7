// Command scaler starts a runner container for each job that waits on a Gitea
// server, and removes it after. See scaler --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // for a machine or image without time zones

	_ "golang.org/x/crypto/x509roots/fallback" // for one without CA certificates
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
