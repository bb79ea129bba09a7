package gitea

const (
	pageSize = 50 // the most that Gitea gives by default
	// maxPages bounds a listing of which the end does not come.
	maxPages = 200
)

// listing is what reading page by page gave.
type listing[T any] struct {
	items    []T // each once, in the order in which they first came
	total    int // how many there are, by the last page's word
	complete bool
}

// readPages reads pages until it has as many different items as the server
// says there are, or a page has none that is new, or enough, which gets the new
// items of each page, says so.
// Neither runners nor jobs have a stable order, so an item can come twice
// while another one moves from a page not yet read to one already read.
func readPages[T any, K comparable](enough func(fresh []T) bool, key func(T) K, fetch func(page int) ([]T, int, error)) (listing[T], error) {
	var l listing[T]
	seen := make(map[K]bool)
	for page := 1; page <= maxPages; page++ {
		items, total, err := fetch(page)
		if err != nil {
			return listing[T]{}, err
		}
		l.total = total
		before := len(l.items)
		for _, item := range items {
			if k := key(item); !seen[k] {
				seen[k] = true
				l.items = append(l.items, item)
			}
		}
		l.complete = len(l.items) >= total && (total > 0 || len(items) == 0)
		if len(l.items) == before || l.complete || enough(l.items[before:]) {
			break
		}
	}
	return l, nil
}

// readAllPages reads a listing to its end, and once more if items are missing
// because pages shifted. If they still are, it gives what either reading saw.
func readAllPages[T any, K comparable](key func(T) K, fetch func(page int) ([]T, int, error)) (listing[T], error) {
	never := func([]T) bool { return false }
	first, err := readPages(never, key, fetch)
	if err != nil || first.complete {
		return first, err
	}
	second, err := readPages(never, key, fetch)
	if err != nil || second.complete {
		return second, err
	}
	seen := make(map[K]bool, len(second.items))
	for _, item := range second.items {
		seen[key(item)] = true
	}
	for _, item := range first.items {
		if !seen[key(item)] {
			second.items = append(second.items, item)
		}
	}
	return second, nil
}
