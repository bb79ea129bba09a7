package giteatest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// pageOf reads which page a request asks for and how large it may be.
func (s *Server) pageOf(r *http.Request) (page, size int) {
	q := r.URL.Query()
	page, _ = strconv.Atoi(q.Get("page"))
	size, _ = strconv.Atoi(q.Get("limit"))
	if size <= 0 {
		size = defaultPage
	}
	return max(page, 1), min(size, s.opts.MaxPage)
}

// page returns the part [from, to) of n entries that the request asks for.
// Where a list comes whole for who asks for no page, the size makes no difference.
func (s *Server) page(r *http.Request, n int) (from, to int) {
	if asked, _ := strconv.Atoi(r.URL.Query().Get("page")); asked < 1 && s.profile.rules.whole {
		return 0, n
	}
	page, size := s.pageOf(r)
	// Pages beyond the last are all alike, so that no product overflows.
	page = min(page, n/size+2)
	from = min((page-1)*size, n)
	return from, min(from+size, n)
}

// setLinks sets the Link header as Gitea does: next, last, first and prev, each
// only where it is another page.
func (s *Server) setLinks(c restCall, total int) {
	page, size := s.pageOf(c.r)
	last := max((total+size-1)/size, 1)
	page = min(page, last)
	var links []string
	add := func(rel string, to int) {
		if to == page || to < 1 || to > last {
			return
		}
		u := *c.r.URL
		q := u.Query()
		q.Set("page", strconv.Itoa(to))
		u.RawQuery = q.Encode()
		links = append(links, fmt.Sprintf("<%s%s>; rel=%q", s.base(c.r), u.RequestURI(), rel))
	}
	add("next", page+1)
	add("last", last)
	add("first", 1)
	add("prev", page-1)
	if len(links) > 0 {
		c.w.Header().Set("Link", strings.Join(links, ","))
	}
}
