package docker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/cli/cli/context/store"
)

// authority is one that signs the certificates of a test, and its directory with
// them: ca.pem, and NAME.pem and NAME-key.pem of each.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	a.cert = template
	a.key = a.sign("ca", template)
	data, _ := os.ReadFile(filepath.Join(a.dir, "ca.pem"))
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	a.cert = cert
	return a
}

// sign makes a certificate and writes it; the first is signed by itself.
func (a *authority) sign(name string, template *x509.Certificate) *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(name+"-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return key
}

func (a *authority) write(name string, data []byte) {
	if err := os.WriteFile(filepath.Join(a.dir, name), data, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// issue makes a certificate for 127.0.0.1, to serve with or to be known by.
func (a *authority) issue(name string) {
	a.sign(name, &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
}

// serverTLS is what an engine would listen with: it wants a client's certificate.
func (a *authority) serverTLS(name string) *tls.Config {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.path(name+".pem"), a.path(name+"-key.pem"))
	if err != nil {
		a.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
}

func (a *authority) client(name string) TLS {
	return TLS{CA: a.path("ca.pem"), Cert: a.path(name + ".pem"), Key: a.path(name + "-key.pem")}
}

// forward leads from a port, with TLS, to a socket, until the test ends.
func forward(t *testing.T, config *tls.Config, socket string) (address string) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer near.Close()
				far, err := net.Dial("unix", socket)
				if err != nil {
					return
				}
				defer far.Close()
				var both sync.WaitGroup
				both.Go(func() { _, _ = io.Copy(far, near); _ = far.(*net.UnixConn).CloseWrite() })
				both.Go(func() { _, _ = io.Copy(near, far); _ = near.Close() })
				both.Wait()
			}()
		}
	}()
	return ln.Addr().String()
}

// stubSSH puts a program ssh into the PATH that leads from a host's name to a
// local socket, or says what a real one would. It returns the directory of hosts.
func stubSSH(t *testing.T) (hosts string) {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("the stub of ssh needs the docker command")
	}
	hosts = t.TempDir()
	script := `#!/bin/sh
for flag; do case "$flag" in BatchMode=yes) batch=1;; esac; done
[ -n "$batch" ] || { echo "it would ask" >&2; exit 254; }
while [ "$1" != "--" ]; do shift; done
host="$2"
[ "$3" = "docker system dial-stdio" ] || { echo "runs $3" >&2; exit 254; }
if [ -f "` + hosts + `/$host.says" ]; then cat "` + hosts + `/$host.says" >&2; exit 255; fi
exec docker -H "unix://$(cat "` + hosts + `/$host")" system dial-stdio
`
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return hosts
}

func TestConformanceByTLS(t *testing.T) {
	a := newAuthority(t)
	a.issue("engine")
	a.issue("scaler")
	conform(t, newRig(t), func(t *testing.T, w *wire) Config {
		return Config{Host: "tcp://" + forward(t, a.serverTLS("engine"), w.socket), TLS: a.client("scaler")}
	})
}

func TestConformanceBySSH(t *testing.T) {
	hosts := stubSSH(t)
	conform(t, newRig(t), func(t *testing.T, w *wire) Config {
		host := "h" + strings.ToLower(rand.Text())[:8]
		if err := os.WriteFile(filepath.Join(hosts, host), []byte(w.socket), 0o600); err != nil {
			t.Fatal(err)
		}
		return Config{Host: "ssh://builder@" + host}
	})
}

// Podman's socket that speaks as Docker does, if there is one.
func TestConformanceOfPodman(t *testing.T) {
	socket := os.Getenv("SCALER_PODMAN_SOCKET")
	if socket == "" {
		t.Skip("SCALER_PODMAN_SOCKET names no socket")
	}
	t.Setenv("DOCKER_HOST", "unix://"+strings.TrimPrefix(socket, "unix://"))
	conform(t, newRig(t), direct)
}

// versionStub answers as an engine for its version, over TLS.
func versionStub(t *testing.T, config *tls.Config) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"Version":"20.10.0-stub","ApiVersion":"1.41"}`)
	})
	s := httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.TLS = config
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func pingAt(t *testing.T, cfg Config) (string, error) {
	t.Helper()
	cfg.Instance, cfg.Timeout = "i", 10*time.Second
	e, err := New(cfg)
	if err != nil {
		return "", err
	}
	defer e.Close()
	return e.Ping(t.Context())
}

// wantError fails unless the error says all of that.
func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v does not say %q", err, text)
		}
	}
}

func TestTLS(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	a.issue("engine")
	a.issue("scaler")
	stranger.issue("scaler")
	a.write("empty.pem", []byte("nothing\n"))
	address := "tcp://" + versionStub(t, a.serverTLS("engine"))
	if version, err := pingAt(t, Config{Host: address, TLS: a.client("scaler")}); err != nil || version != "20.10.0-stub" {
		t.Fatalf("Ping = %q, %v", version, err)
	}
	for name, tt := range map[string]struct {
		cfg  Config
		want []string
	}{
		"another authority":  {Config{Host: address, TLS: TLS{CA: stranger.path("ca.pem"), Cert: a.path("scaler.pem"), Key: a.path("scaler-key.pem")}}, []string{"certificate signed by unknown authority"}},
		"an unknown client":  {Config{Host: address, TLS: TLS{CA: a.path("ca.pem"), Cert: stranger.path("scaler.pem"), Key: stranger.path("scaler-key.pem")}}, []string{"tls: "}},
		"a key of another":   {Config{Host: address, TLS: TLS{CA: a.path("ca.pem"), Cert: a.path("scaler.pem"), Key: a.path("engine-key.pem")}}, []string{"docker tls: the client's certificate and key do not fit"}},
		"no such file":       {Config{Host: address, TLS: TLS{CA: a.path("none.pem")}}, []string{"docker tls: open " + a.path("none.pem")}},
		"nothing in a file":  {Config{Host: address, TLS: TLS{CA: a.path("empty.pem")}}, []string{"holds no certificate"}},
		"TLS for a socket":   {Config{Host: "unix:///run/docker.sock", TLS: a.client("scaler")}, []string{"docker tls is for tcp://HOST:PORT"}},
		"TLS for a context":  {Config{Context: "far", TLS: a.client("scaler")}, []string{`docker context "far" has its own certificates`}},
		"host and a context": {Config{Context: "far", Host: address}, []string{"docker host and docker context exclude each other"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pingAt(t, tt.cfg)
			wantError(t, err, tt.want...)
		})
	}
}

func TestSSHErrors(t *testing.T) {
	hosts := stubSSH(t)
	for name, tt := range map[string]struct{ says, want string }{
		"strange":  {"Host key verification failed.", "put the right one into its known_hosts"},
		"shut":     {"Warning: x\nbuilder@shut: Permission denied (publickey).", "builder@shut: Permission denied (publickey).; the host accepts no key of the daemon's user"},
		"bare":     {"sh: 1: docker: not found", "install Docker there"},
		"grouped":  {"Got permission denied while trying to connect to the Docker daemon socket", "add it to the group docker there"},
		"nowhere":  {"ssh: Could not resolve hostname nowhere: Name or service not known", "correct the address"},
		"speaking": {"something else", "check with: ssh speaking docker info"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(hosts, name+".says"), []byte(tt.says+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := pingAt(t, Config{Host: "ssh://" + name})
			wantError(t, err, "ssh to ssh://"+name+" has ended: ", tt.want)
			if !errors.Is(err, ErrUnreachable) {
				t.Errorf("error %v is not ErrUnreachable", err)
			}
		})
	}
	for _, host := range []string{"ssh://", "ssh://a:secret@b"} {
		_, err := pingAt(t, Config{Host: host})
		wantError(t, err, "write ssh://[USER@]HOST[:PORT]")
	}
}

// An ssh that says nothing is given up when the call's time is over.
func TestSSHHasADeadline(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte("#!/bin/sh\nexec sleep 600\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	e, err := New(Config{Instance: "i", Host: "ssh://silent", Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	began := time.Now()
	_, err = e.Ping(context.WithoutCancel(t.Context()))
	wantError(t, err, "no answer within 300ms")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestDockerContexts(t *testing.T) {
	a := newAuthority(t)
	a.issue("engine")
	a.issue("scaler")
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	_, err := pingAt(t, Config{Context: "far"})
	wantError(t, err, `docker context "far"`, "there are none in "+filepath.Join(dir, "contexts"))

	contexts := store.New(filepath.Join(dir, "contexts"), store.NewConfig(func() any { return &map[string]any{} },
		store.EndpointTypeGetter(dockerEndpoint, func() any { return &contextEndpoint{} })))
	put := func(name string, endpoints map[string]any, files map[string]string) {
		t.Helper()
		data := &store.EndpointTLSData{Files: map[string][]byte{}}
		for file, from := range files {
			text, err := os.ReadFile(a.path(from))
			if err != nil {
				t.Fatal(err)
			}
			data.Files[file] = text
		}
		err := contexts.CreateOrUpdate(store.Metadata{Name: name, Metadata: map[string]any{"Description": name}, Endpoints: endpoints})
		if err == nil && len(files) > 0 {
			err = contexts.ResetEndpointTLSMaterial(name, dockerEndpoint, data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	address := "tcp://" + versionStub(t, a.serverTLS("engine"))
	all := map[string]string{"ca.pem": "ca.pem", "cert.pem": "scaler.pem", "key.pem": "scaler-key.pem"}
	put("far", map[string]any{dockerEndpoint: contextEndpoint{Host: address}}, all)
	put("broken", map[string]any{dockerEndpoint: contextEndpoint{Host: address}}, map[string]string{"cert.pem": "scaler.pem", "key.pem": "engine-key.pem"})
	put("unchecked", map[string]any{dockerEndpoint: contextEndpoint{Host: address, SkipTLSVerify: true}}, map[string]string{"cert.pem": "scaler.pem", "key.pem": "scaler-key.pem"})
	put("cluster", map[string]any{"kubernetes": map[string]any{"Host": "https://c"}}, nil)

	t.Setenv("DOCKER_HOST", "tcp://192.0.2.1:1") // which a context outdoes
	for _, name := range []string{"far", "unchecked"} {
		if version, err := pingAt(t, Config{Context: name}); err != nil || version != "20.10.0-stub" {
			t.Errorf("by %s: Ping = %q, %v", name, version, err)
		}
	}
	_, err = pingAt(t, Config{Context: "near"})
	wantError(t, err, `docker context "near"`, "there are broken, cluster, far, unchecked in "+filepath.Join(dir, "contexts"))
	_, err = pingAt(t, Config{Context: "broken"})
	wantError(t, err, `docker context "broken": the client's certificate and key do not fit`)
	_, err = pingAt(t, Config{Context: "cluster"})
	wantError(t, err, `docker context "cluster"`, "names no engine")
}
