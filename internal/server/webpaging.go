package server

import (
	"net/http"
	"strconv"
)

const (
	// rowsShown is how many rows of a long list a page has.
	rowsShown = 200
	// rowsBeside is how many there are of a list that has a page of its own.
	rowsBeside = 25
)

// pager is where a page is in a long list.
type pager struct {
	Total, From, To int    // From counts from 1
	Previous, Next  string // addresses, empty where there is none
}

// paged returns the rows that a request asks for by its parameter page, from 1.
// What is no page is the first or the last one.
func paged[T any](r *http.Request, list []T) ([]T, pager) {
	last := max((len(list)+rowsShown-1)/rowsShown, 1)
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil {
		page = 1
	}
	page = min(max(page, 1), last)
	from, to := (page-1)*rowsShown, min(page*rowsShown, len(list))
	p := pager{Total: len(list), From: min(from+1, to), To: to}
	at := func(n int) string {
		q := r.URL.Query()
		q.Set("page", strconv.Itoa(n))
		return "?" + q.Encode()
	}
	if page > 1 {
		p.Previous = at(page - 1)
	}
	if page < last {
		p.Next = at(page + 1)
	}
	return list[from:to], p
}

// beside returns the first rows of a list, and how many there are more.
func beside[T any](list []T) (first []T, more int) {
	n := min(len(list), rowsBeside)
	return list[:n], len(list) - n
}
