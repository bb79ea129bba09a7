package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manyRecords is a file with branches, free pages and a record that needs
// several pages.
func manyRecords(t testing.TB) (whole []byte, instance string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.db.NoSync = true
	for i := range 120 {
		r := record(fmt.Sprintf("linux-%03d", i))
		if i == 7 {
			r.Note = string(bytes.Repeat([]byte("long "), 3000))
		}
		if err := s.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		id := fmt.Sprintf("t%02d", i)
		c := TokenChanges{PutTokens: []TokenRecord{token(id, id)}, PutEnrolments: []EnrolmentRecord{enrolment("u"+id, now)}, Audit: entries("register", "refuse")}
		if i >= 30 {
			c.DeleteTokens = []string{fmt.Sprintf("t%02d", i-30)}
		}
		if err := s.Commit(c); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		if err := s.Delete(fmt.Sprintf("linux-%03d", 2*i+40), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	return data, s.Instance()
}

// spoil damages a copy of the file as disks and crashes do.
func spoil(whole []byte, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 0))
	data := bytes.Clone(whole)
	size := os.Getpagesize()
	pages := len(data) / size
	at := func() int { return rnd.IntN(pages) * size }
	switch seed % 7 {
	case 0: // one bit
		data[rnd.IntN(len(data))] ^= 1 << rnd.IntN(8)
	case 1: // a number where bbolt keeps references and sizes
		binary.NativeEndian.PutUint32(data[at()+4*rnd.IntN(64):], rnd.Uint32())
	case 2: // the same, small
		binary.NativeEndian.PutUint32(data[at()+4*rnd.IntN(64):], rnd.Uint32N(64))
	case 3: // a page that was never written
		clear(data[at():][:size])
	case 4: // a page of something else
		page := data[at():][:size]
		for i := range page {
			page[i] = byte(rnd.Uint32())
		}
	case 5: // a page in the place of another
		copy(data[at():][:size], bytes.Clone(data[at():][:size]))
	case 6: // cut short
		data = data[:rnd.IntN(len(data))]
	}
	return data
}

// openSpoiled opens a damaged file for the daemon and demands that it is
// either good enough to work with or kept aside as it was.
func openSpoiled(t *testing.T, whole []byte, instance string, seed uint64) {
	t.Helper()
	data := spoil(whole, seed)
	dir := t.TempDir()
	os.Chmod(dir, 0o700)
	path := filepath.Join(dir, FileName)
	if err := errors.Join(os.WriteFile(path, data, 0o600), os.WriteFile(filepath.Join(dir, InstanceFileName), []byte(instance+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s, err := OpenOrRecover(dir, slog.New(slog.DiscardHandler))
	if errors.Is(err, ErrInstance) || errors.Is(err, ErrFormat) {
		return // these very bytes were hit, or the file is whole
	}
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	defer s.Close()
	s.db.NoSync = true
	c := TokenChanges{PutTokens: []TokenRecord{token("new", "new")}, DeleteTokens: []string{"t11"}, PutEnrolments: []EnrolmentRecord{enrolment("new", now)}, Audit: entries("register")}
	if err := errors.Join(s.Put(record("new")), s.Delete("linux-000", 0), s.Delete("linux-119", 0), s.Delete("new", 0), s.Commit(c)); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	aside, _ := filepath.Glob(path + ".damaged-*")
	for _, a := range aside {
		if kept, err := os.ReadFile(a); err != nil || !bytes.Equal(kept, data) {
			t.Errorf("seed %d: the file was changed before it was kept aside: %v", seed, err)
		}
	}
}

func TestNoDamageEndsTheProcess(t *testing.T) {
	whole, instance := manyRecords(t)
	for seed := range uint64(280) {
		openSpoiled(t, whole, instance, seed)
	}
}

func FuzzDamage(f *testing.F) {
	whole, instance := manyRecords(f)
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { openSpoiled(t, whole, instance, seed) })
}

// boltFile is a file in which single numbers can be changed.
type boltFile struct {
	t    *testing.T
	data []byte
}

// find returns where the first reachable page of a kind lies that has at least
// so many entries.
func (f boltFile) find(kind, entries uint16) int {
	size := os.Getpagesize()
	for at := 2 * size; at < len(f.data); at += size {
		id := binary.NativeEndian.Uint64(f.data[at:])
		if id == uint64(at/size) && binary.NativeEndian.Uint16(f.data[at+8:]) == kind && binary.NativeEndian.Uint16(f.data[at+10:]) >= entries && f.reachable(id) {
			return at
		}
	}
	f.t.Fatalf("no page of kind %#x", kind)
	return 0
}

// reachable reports whether the page is in use, and not an old version.
func (f boltFile) reachable(id uint64) bool {
	m, err := readMeta(bytes.NewReader(f.data))
	must(f.t, err)
	v := verifier{file: bytes.NewReader(f.data), meta: m, used: make(map[uint64]bool)}
	must(f.t, v.freelist())
	return id == m.freelist || !v.used[id]
}

func (f boltFile) put16(at int, v uint16) { binary.NativeEndian.PutUint16(f.data[at:], v) }
func (f boltFile) put32(at int, v uint32) { binary.NativeEndian.PutUint32(f.data[at:], v) }
func (f boltFile) put64(at int, v uint64) { binary.NativeEndian.PutUint64(f.data[at:], v) }

func TestVerify(t *testing.T) {
	whole, _ := manyRecords(t)
	size := os.Getpagesize()
	tests := map[string]struct {
		change func(boltFile)
		want   string // empty for a good file
	}{
		"whole":                       {func(boltFile) {}, ""},
		"one meta page is lost":       {func(f boltFile) { clear(f.data[:size]) }, ""},
		"the other meta page is lost": {func(f boltFile) { clear(f.data[size : 2*size]) }, ""},
		"both are lost":               {func(f boltFile) { clear(f.data[:2*size]) }, "no valid meta page"},
		"branch leads to itself": {func(f boltFile) {
			at := f.find(branchPage, 2)
			f.put64(at+headerSize+8, uint64(at/size))
		}, "used twice"},
		"branch leads nowhere": {func(f boltFile) { f.put64(f.find(branchPage, 2)+headerSize+8, 1<<40) }, "there is no such page"},
		"branch leads to meta": {func(f boltFile) { f.put64(f.find(branchPage, 2)+headerSize+8, 1) }, "there is no such page"},
		"branch is empty":      {func(f boltFile) { f.put16(f.find(branchPage, 2)+10, 0) }, "no entries"},
		"key is outside":       {func(f boltFile) { f.put32(f.find(branchPage, 2)+headerSize, 1<<31) }, "leads out of it"},
		"value is outside":     {func(f boltFile) { f.put32(f.find(leafPage, 2)+headerSize+12, 1<<31) }, "leads out of it"},
		"key is empty":         {func(f boltFile) { f.put32(f.find(leafPage, 2)+headerSize+8, 0) }, "leads out of it"},
		"too many entries":     {func(f boltFile) { f.put16(f.find(leafPage, 2)+10, 60000) }, "entr"},
		"entry of no kind":     {func(f boltFile) { f.put32(f.find(leafPage, 2)+headerSize, 7) }, "unknown kind 0x7"},
		"page of no kind":      {func(f boltFile) { f.put16(f.find(leafPage, 2)+8, 0x40) }, "unknown kind 0x40"},
		"page of another":      {func(f boltFile) { f.put64(f.find(leafPage, 2), 3000) }, "it says that it is page 3000"},
		"page without an end":  {func(f boltFile) { f.put32(f.find(leafPage, 2)+12, 1<<30) }, "beyond the end"},
		"page that overlaps":   {func(f boltFile) { f.put32(f.find(leafPage, 2)+12, 3) }, "used twice"},
		"free list is lost":    {func(f boltFile) { f.put16(f.find(freelistPage, 1)+8, leafPage) }, "no list of free pages"},
		"free list is long":    {func(f boltFile) { f.put16(f.find(freelistPage, 1)+10, 50000) }, "no list of free pages"},
		"free list is endless": {func(f boltFile) {
			at := f.find(freelistPage, 1)
			f.put16(at+10, manyFree)
			f.put64(at+headerSize, 1<<60)
		}, "no list of free pages"},
		"free page is none": {func(f boltFile) { f.put64(f.find(freelistPage, 1)+headerSize, 1<<50) }, "free"},
		"free page is in use": {func(f boltFile) {
			leaf := f.find(leafPage, 2)
			f.put64(f.find(freelistPage, 1)+headerSize, uint64(leaf/size))
		}, "used twice"},
		"bucket is broken": {func(f boltFile) {
			at := bytes.Index(f.data, append([]byte("meta"), make([]byte, bucketSize)...)) // an inline bucket
			for at >= 0 && !f.reachable(uint64(at/size)) {
				f.data[at] = 'x' // an old version
				at = bytes.Index(f.data, append([]byte("meta"), make([]byte, bucketSize)...))
			}
			f.put16(at+4+bucketSize+8, branchPage)
		}, "broken bucket"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := boltFile{t, bytes.Clone(whole)}
			tt.change(f)
			err := verify(bytes.NewReader(f.data), int64(len(f.data)))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}
