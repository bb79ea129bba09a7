package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// writePair writes a certificate with this name, and its key.
func writePair(t testing.TB, files TLSFiles, name string) {
	t.Helper()
	cert, key := makePair(t, name)
	writeTLSFile(t, files.Cert, cert)
	writeTLSFile(t, files.Key, key)
}

func makePair(t testing.TB, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// writeTLSFile puts a file in place as careful tools do, so that it is another
// file even if its size and time are those of the old one.
func writeTLSFile(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func newTLSFiles(t testing.TB) TLSFiles {
	dir := t.TempDir()
	files := TLSFiles{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	writePair(t, files, "first")
	return files
}

func TestCertificateFollowsItsFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, log := newTLSFiles(t), &logLines{}
		files.Log = slog.New(slog.NewTextHandler(log, nil))
		pair, err := newKeyPair(files)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(what, name string, logged int) {
			t.Helper()
			cert, err := pair.get(nil)
			if err != nil || cert.Leaf.Subject.CommonName != name {
				t.Errorf("%s: certificate %s, %v; want %s", what, cert.Leaf.Subject.CommonName, err, name)
			}
			if n := strings.Count(log.String(), "\n"); n != logged {
				t.Errorf("%s: %d lines logged, want %d: %s", what, n, logged, log)
			}
		}
		expect("at first", "first", 0)

		writePair(t, files, "second")
		expect("looked at less than a second ago", "first", 0)
		time.Sleep(reloadInterval)
		expect("after a second", "second", 1)

		cert, key := makePair(t, "third")
		writeTLSFile(t, files.Cert, cert)
		for range 3 {
			time.Sleep(reloadInterval)
			expect("certificate without its key", "second", 2)
		}
		writeTLSFile(t, files.Key, key)
		time.Sleep(reloadInterval)
		expect("with its key", "third", 3)

		if err := os.Remove(files.Key); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(reloadInterval)
			expect("key removed", "third", 4)
		}
		writeTLSFile(t, files.Key, key)
		time.Sleep(reloadInterval)
		expect("key back", "third", 5)
		writeTLSFile(t, files.Key, []byte("rubbish"))
		time.Sleep(reloadInterval)
		expect("key broken", "third", 6)
		if !strings.Contains(log.String(), files.Key) || strings.Contains(log.String(), "rubbish") {
			t.Errorf("logged: %s", log)
		}
	})
}

// A new file is seen even if its size and time are those of the old one.
func TestStamp(t *testing.T) {
	files := newTLSFiles(t)
	before, err := stampOf(files)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(files.Key)
	if err != nil {
		t.Fatal(err)
	}
	writeTLSFile(t, files.Key, data)
	if err := os.Chtimes(files.Key, time.Time{}, before[1].ModTime()); err != nil {
		t.Fatal(err)
	}
	after, err := stampOf(files)
	if err != nil || after.equal(before) || !after.equal(after) {
		t.Errorf("equal to the old one: %t, %v", after.equal(before), err)
	}
}

func TestListenErrors(t *testing.T) {
	good := newTLSFiles(t)
	rubbish := filepath.Join(t.TempDir(), "rubbish")
	writeTLSFile(t, rubbish, []byte("rubbish"))
	other := newTLSFiles(t)
	taken, err := Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name  string
		addr  string
		files *TLSFiles
		want  string
	}{
		{"no certificate", "127.0.0.1:0", &TLSFiles{Cert: good.Cert + "x", Key: good.Key}, good.Cert + "x"},
		{"no key", "127.0.0.1:0", &TLSFiles{Cert: good.Cert, Key: good.Key + "x"}, good.Key + "x"},
		{"certificate is none", "127.0.0.1:0", &TLSFiles{Cert: rubbish, Key: good.Key}, rubbish},
		{"key is none", "127.0.0.1:0", &TLSFiles{Cert: good.Cert, Key: rubbish}, rubbish},
		{"key is a directory", "127.0.0.1:0", &TLSFiles{Cert: good.Cert, Key: filepath.Dir(rubbish)}, filepath.Dir(rubbish)},
		{"key of another", "127.0.0.1:0", &TLSFiles{Cert: good.Cert, Key: other.Key}, other.Key},
		{"taken", taken.Addr().String(), nil, taken.Addr().String()},
		{"taken, with TLS", taken.Addr().String(), &good, taken.Addr().String()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Listen(tt.addr, tt.files)
			if err == nil {
				l.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v: want %s in it", err, tt.want)
			}
		})
	}
}

func TestTLSVersions(t *testing.T) {
	files := newTLSFiles(t)
	l, err := Listen("127.0.0.1:0", &files)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.(*tls.Conn).Handshake() // the client says what came of it
			}()
		}
	}()
	for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			conn.Close()
		}
	}
}
