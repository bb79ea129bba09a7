package docker

import (
	"errors"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

// testFiles puts a runner's files into containers of each kind of image and
// lets the container's own user read, rewrite and extend them.
func testFiles(t *testing.T, r *rig) {
	for _, tc := range []struct {
		name, image, user, want string
	}{
		{"root", "plain", "", "uid 0 file 0:0 mode 600"},
		{"no data directory", "bare", "", "uid 0 file 0:0 mode 600"},
		{"volume", "volume", "", "uid 0 file 0:0 mode 600"},
		{"numeric user of the image, no data directory", "numeric", "", "uid 1000 file 1000:0 mode 600"},
		{"numeric user of the pool, no data directory", "bare", "1234:1235", "uid 1234 file 1234:1235 mode 600"},
		{"named user of the image, volume", "named", "", "uid 1000 file 1000:1001 mode 600"},
		{"root by the pool", "named", "root", "uid 0 file 0:0 mode 600"},
		{"named group", "named", "runner:build", "uid 1000 file 1000:1002 mode 600"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := r.engine(t, map[string]Options{"p": {
				Image: r.image(tc.image), User: tc.user, Command: []string{"rewrite", "/data/.runner"},
			}})
			runner := r.instance + "-files-" + strings.Map(alphanumeric, tc.name)
			id := start(t, e, runner,
				plan.File{Path: "/data/.runner", Mode: 0o600, Data: []byte(`{"token":"t"}`)},
				plan.File{Path: "/data/config.yaml", Mode: 0o600, Data: []byte("runner: {}\n")})
			c := ended(t, e, id)
			lines, err := e.Logs(t.Context(), id, 5)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(lines, "|"); c.ExitCode != 0 || got != tc.want {
				t.Errorf("exit %d, said %q, want %q", c.ExitCode, got, tc.want)
			}
			if data, err := e.ReadFile(t.Context(), id, "/data/.runner"); err != nil || string(data) != "rewritten" {
				t.Errorf("ReadFile() = %q, %v", data, err)
			}
		})
	}
}

func alphanumeric(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r
	}
	return -1
}

func testNamedUser(t *testing.T, r *rig) {
	e := r.engine(t, map[string]Options{"p": {Image: r.image("named"), User: "nobody"}})
	id, err := e.Create(t.Context(), "p", r.instance+"-nobody", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = e.Start(t.Context(), id, []plan.File{{Path: "/data/.runner", Mode: 0o600}})
	if err == nil || !strings.Contains(err.Error(), `user "nobody": not in the image's /etc/passwd`) {
		t.Errorf("Start() = %v", err)
	}
}

func testReadFile(t *testing.T, r *rig) {
	e := r.pool(t, "plain", "exit", "0")
	id := start(t, e, r.instance+"-read",
		plan.File{Path: "/data/largest", Mode: 0o644, Data: make([]byte, maxFile)},
		plan.File{Path: "/data/larger", Mode: 0o644, Data: make([]byte, maxFile+1)})
	ended(t, e, id)
	if data, err := e.ReadFile(t.Context(), id, "/data/largest"); err != nil || len(data) != maxFile {
		t.Errorf("largest file: %d bytes, %v", len(data), err)
	}
	if _, err := e.ReadFile(t.Context(), id, "/data/larger"); err == nil {
		t.Error("a file above the limit was read")
	}
	if _, err := e.ReadFile(t.Context(), id, "/data"); err == nil {
		t.Error("a directory was read")
	}
	if _, err := e.ReadFile(t.Context(), id, "/data/none"); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("missing file: %v, want ErrNotFound", err)
	}
	err := e.Start(t.Context(), id, []plan.File{{Path: "../x"}})
	if err == nil || !strings.Contains(err.Error(), "must be absolute") {
		t.Errorf("relative path: %v", err)
	}
}

func TestLookupOwner(t *testing.T) {
	const passwd = "root:x:0:0::/root:/bin/sh\n\nshort:x\nrunner:x:1000:1001::/data:/bin/sh\r\nodd:x:a:b::/:\n"
	const group = "root:x:0:\nbuild:x:1002:runner\n"
	for _, tc := range []struct {
		user string
		want owner
		err  string
	}{
		{user: "runner", want: owner{1000, 1001}},
		{user: "1000", want: owner{1000, 1001}},
		{user: "4242", want: owner{4242, 0}},
		{user: "runner:build", want: owner{1000, 1002}},
		{user: "runner:7", want: owner{1000, 7}},
		{user: "runner:", want: owner{1000, 1001}},
		{user: "root", want: owner{0, 0}},
		{user: "short", err: `user "short": not in the image's /etc/passwd`},
		{user: "ghost", err: `user "ghost": not in the image's /etc/passwd`},
		{user: "runner:ghost", err: `group "ghost": not in the image's /etc/group`},
		{user: "odd", err: `user "odd": damaged entry`},
	} {
		t.Run(tc.user, func(t *testing.T) {
			got, err := lookupOwner(tc.user, passwd, group)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tc.want)
			}
		})
	}
}
