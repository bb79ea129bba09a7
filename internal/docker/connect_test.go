package docker

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"
)

// Calls side by side dial once each, and not anew for each call after.
func TestConnectionsAreReused(t *testing.T) {
	const abreast, rounds = 12, 4
	ca := newAuthority(t)
	ca.issue("engine")
	ca.issue("scaler")
	mutual, err := ca.client("scaler").load()
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]*tls.Config{"tcp": nil, "tls": mutual} {
		t.Run(name, func(t *testing.T) {
			callers, release := make(chan string), make(chan struct{})
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				callers <- r.RemoteAddr
				<-release
				_, _ = w.Write([]byte("[]"))
			}))
			if config != nil {
				server.TLS = ca.serverTLS("engine")
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			t.Setenv("DOCKER_API_VERSION", "1.41") // it is not asked for
			c, err := newClient(endpoint{host: "tcp://" + server.Listener.Addr().String(), tls: config, alone: true})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			connections := make(map[string]bool)
			for range rounds {
				var group errgroup.Group
				for range abreast {
					group.Go(func() error {
						_, err := c.ContainerList(t.Context(), container.ListOptions{})
						return err
					})
				}
				for range abreast {
					connections[<-callers] = true
				}
				for range abreast {
					release <- struct{}{}
				}
				if err := group.Wait(); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(connections); n != abreast {
				t.Errorf("%d connections for %d calls, %d at a time, want %d", n, rounds*abreast, abreast, abreast)
			}
		})
	}
}
