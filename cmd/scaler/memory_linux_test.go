package main

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const smapsSample = `00400000-0103e000 r-xp 00000000 fe:00 9991634                            /usr/bin/scaler
Size:              12536 kB
Rss:               11128 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
0103e000-01e21000 r--p 00c3e000 fe:00 9991634                            /usr/bin/scaler
Rss:               11404 kB
Anonymous:             0 kB
01e21000-01f2c000 rw-p 01a21000 fe:00 9991634                            /usr/bin/scaler
Rss:                 684 kB
Anonymous:             0 kB
01f2c000-01f2d000 r--p 01a21000 fe:00 9991634                            /usr/bin/scaler
Rss:                   4 kB
Anonymous:             4 kB
7fbd79600000-7fbd79a00000 r--s 00000000 fe:00 9986085                    /var/lib/scaler/scaler.db
Anonymous:             0 kB
7fbd79afe000-7fbd79e00000 rw-p 00000000 00:00 0 
Anonymous:             0 kB
7ffd1b5f2000-7ffd1b5f4000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
`

func TestUnchangedMappings(t *testing.T) {
	got, err := unchanged(strings.NewReader(smapsSample), "/usr/bin/scaler")
	if want := []span{{0x400000, 0x103e000}, {0x103e000, 0x1e21000}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("found %x, %v, want %x", got, err, want)
	}
	if got, err := unchanged(strings.NewReader("4-zz r-xp 0 0:0 1 /a\nAnonymous: 0 kB\n"), "/a"); err == nil {
		t.Errorf("found %x in what is no range of addresses", got)
	}
}

// fileMemory is how much of files the process has mapped, in kB.
func fileMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatalf("no RssFile in\n%s", status)
	}
	kb, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb
}

func TestUnmapProgram(t *testing.T) {
	mustRun(t, "config", "reference") // something that is not needed again
	before := fileMemory(t)
	if err := unmapProgram(); err != nil {
		t.Fatal(err)
	}
	if after := fileMemory(t); after > before/2 {
		t.Errorf("%d kB of files are mapped, %d kB before", after, before)
	}
	if out := mustRun(t, "config", "reference"); !strings.Contains(out, "poll_interval") {
		t.Errorf("a command does not work afterwards: %s", out)
	}
}
