package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The layout of bbolt's files, version 2, as its package internal/common has
// it. Numbers are in the byte order of the machine.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	headerSize  = 16 // of a page: id 8, flags 2, count 2, overflow 4
	metaSize    = 64 // behind the header of pages 0 and 1
	elementSize = 16 // of the list behind the header of a branch or leaf
	bucketSize  = 16 // in front of a bucket's own page: root 8, sequence 8

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	bucketElement = 0x01
	manyFree      = 0xFFFF // this count says that the real one follows
	firstPage     = 2      // behind the meta pages

	minPageSize, maxPageSize = 1 << 10, 16 << 20
)

// verify follows every reference in a bbolt file and says what is wrong first.
// bbolt trusts them all: a number that a disk error has changed leads it into
// foreign memory or around in circles, which ends the process, in Check as
// well as in Open. So this comes before both; what they can find without
// harm, such as a wrong order of keys, is left to them.
func verify(f io.ReaderAt, size int64) error {
	m, err := readMeta(f)
	if err != nil {
		return err
	}
	if m.pages > uint64(size/m.pageSize) {
		return fmt.Errorf("it has %d bytes, and at least %d pages of %d bytes are in use", size, m.pages, m.pageSize)
	}
	v := verifier{file: f, meta: m, used: make(map[uint64]bool)}
	if err := v.freelist(); err != nil {
		return err
	}
	return v.tree(m.root)
}

// meta is what a meta page says, as far as it is needed here.
type meta struct {
	pageSize              int64
	root, freelist, pages uint64 // numbers of pages, and how many there are
	txid                  uint64
}

// readMeta returns the newest valid meta page. The second one lies one page
// behind the first, and only a valid one tells how large a page is.
func readMeta(f io.ReaderAt) (newest meta, err error) {
	err = errors.New("it has no valid meta page, so it is no state file or its beginning is overwritten")
	for offset := int64(0); offset <= maxPageSize; offset = max(2*offset, minPageSize) {
		m, valid, readErr := metaAt(f, offset)
		switch {
		case readErr != nil:
			return meta{}, readErr
		case valid && (offset == 0 || offset == m.pageSize) && (err != nil || m.txid > newest.txid):
			newest, err = m, nil
		}
	}
	return newest, err
}

func metaAt(f io.ReaderAt, offset int64) (m meta, valid bool, err error) {
	data := make([]byte, metaSize)
	if _, err := f.ReadAt(data, offset+headerSize); errors.Is(err, io.EOF) {
		return meta{}, false, nil
	} else if err != nil {
		return meta{}, false, err
	}
	u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	sum := fnv.New64a()
	sum.Write(data[:metaSize-8])
	if u32(data) != boltMagic || u32(data[4:]) != boltVersion || u64(data[metaSize-8:]) != sum.Sum64() {
		return meta{}, false, nil
	}
	m = meta{pageSize: int64(u32(data[8:])), root: u64(data[16:]), freelist: u64(data[32:]), pages: u64(data[40:]), txid: u64(data[48:])}
	return m, m.pageSize >= minPageSize && m.pageSize <= maxPageSize, nil
}

// verifier walks through one file.
type verifier struct {
	file io.ReaderAt
	meta meta
	used map[uint64]bool // pages that something refers to
}

// page is one page with the pages that continue it.
type page struct {
	id           uint64
	flags, count int
	data         []byte // with the header
}

// read returns a page that nothing else refers to.
func (v *verifier) read(id uint64) (page, error) {
	if id < firstPage || id >= v.meta.pages {
		return page{}, fmt.Errorf("page %d: there is no such page", id)
	}
	header := make([]byte, headerSize)
	if _, err := v.file.ReadAt(header, int64(id)*v.meta.pageSize); err != nil {
		return page{}, fmt.Errorf("read page %d: %w", id, err)
	}
	p := page{id: id, flags: int(binary.NativeEndian.Uint16(header[8:])), count: int(binary.NativeEndian.Uint16(header[10:]))}
	if own := binary.NativeEndian.Uint64(header); own != id {
		return page{}, fmt.Errorf("page %d: it holds something else: it says that it is page %d", id, own)
	}
	more := uint64(binary.NativeEndian.Uint32(header[12:]))
	if id+more >= v.meta.pages {
		return page{}, fmt.Errorf("page %d: it reaches beyond the end", id)
	}
	for i := id; i <= id+more; i++ {
		if v.used[i] {
			return page{}, fmt.Errorf("page %d: it is used twice", i)
		}
		v.used[i] = true
	}
	p.data = make([]byte, int64(more+1)*v.meta.pageSize)
	if _, err := v.file.ReadAt(p.data, int64(id)*v.meta.pageSize); err != nil {
		return page{}, fmt.Errorf("read page %d: %w", id, err)
	}
	return p, nil
}

// freelist marks the free pages as used, so that no reference leads to them.
func (v *verifier) freelist() error {
	p, err := v.read(v.meta.freelist)
	if err != nil {
		return err
	}
	ids, count := p.data[headerSize:], uint64(p.count)
	if p.count == manyFree {
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if p.flags != freelistPage || count > uint64(len(ids)/8) {
		return fmt.Errorf("page %d: it is no list of free pages", p.id)
	}
	for i := range count {
		id := binary.NativeEndian.Uint64(ids[8*i:])
		if id < firstPage || id >= v.meta.pages || v.used[id] {
			return fmt.Errorf("page %d: it calls page %d free", p.id, id)
		}
		v.used[id] = true
	}
	return nil
}

// tree walks through a bucket's pages. No page is visited twice, so it ends.
func (v *verifier) tree(root uint64) error {
	p, err := v.read(root)
	if err != nil {
		return err
	}
	switch p.flags {
	case branchPage:
		return v.branch(p)
	case leafPage:
		return v.leaf(p, true)
	}
	return fmt.Errorf("page %d: it has the unknown kind %#x", p.id, p.flags)
}

func (v *verifier) branch(p page) error {
	if p.count == 0 {
		return fmt.Errorf("page %d: it has no entries", p.id)
	}
	for i := range p.count {
		e, err := p.element(i)
		if err != nil {
			return err
		}
		if _, err := p.content(i, e.pos(0), e.pos(4)); err != nil {
			return err
		}
		if err := v.tree(binary.NativeEndian.Uint64(e[8:])); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks keys and values. A bucket that is small lies inside a value; no
// other bucket is inside of it.
func (v *verifier) leaf(p page, buckets bool) error {
	for i := range p.count {
		e, err := p.element(i)
		if err != nil {
			return err
		}
		if _, err := p.content(i, e.pos(4), e.pos(8)); err != nil {
			return err
		}
		value, err := p.content(i, e.pos(4)+e.pos(8), e.pos(12))
		if err != nil && e.pos(12) != 0 {
			return err
		}
		switch kind := e.pos(0); {
		case kind == 0:
		case kind == bucketElement && buckets && len(value) >= bucketSize:
			if err := v.bucket(p, value); err != nil {
				return err
			}
		default:
			return fmt.Errorf("page %d: entry %d has the unknown kind %#x", p.id, i, kind)
		}
	}
	return nil
}

func (v *verifier) bucket(p page, value []byte) error {
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return v.tree(root)
	}
	inline := page{id: p.id, data: value[bucketSize:]}
	if len(inline.data) < headerSize || binary.NativeEndian.Uint16(inline.data[8:]) != leafPage {
		return fmt.Errorf("page %d: it has a broken bucket inside", p.id)
	}
	inline.count = int(binary.NativeEndian.Uint16(inline.data[10:]))
	return v.leaf(inline, false)
}

// element is an entry in the list of a page's keys.
type element []byte

// pos returns one of the 32-bit numbers in it.
func (e element) pos(at int) int64 { return int64(binary.NativeEndian.Uint32(e[at:])) }

func (p page) element(i int) (element, error) {
	at := headerSize + i*elementSize
	if at+elementSize > len(p.data) {
		return nil, fmt.Errorf("page %d: it cannot have %d entries", p.id, p.count)
	}
	return p.data[at : at+elementSize], nil
}

// content returns what lies at a distance from an element. It is never empty.
func (p page) content(i int, distance, size int64) ([]byte, error) {
	start := int64(headerSize+i*elementSize) + distance
	if size == 0 || start+size > int64(len(p.data)) {
		return nil, fmt.Errorf("page %d: entry %d leads out of it", p.id, i)
	}
	return p.data[start : start+size], nil
}
