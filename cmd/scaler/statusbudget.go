package main

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/docker/go-units"

	"scaler.io/scaler/internal/plan"
)

// writeBudgets writes what the runners take of the limits over all pools, if
// there are any.
func writeBudgets(b *bytes.Buffer, budgets []plan.Budget) {
	if len(budgets) == 0 {
		return
	}
	section(b, "LIMITS")
	rows := [][]string{{"WHAT", "TAKEN", "LIMIT", "FROM"}}
	for _, x := range budgets {
		from := ofServer(x.Server) + "limits." + x.Resource
		if x.Host > 0 {
			from = fmt.Sprintf("%s of the Docker host, less a reserve of %s", amount(x.Resource, x.Host), amount(x.Resource, x.Reserve))
		}
		rows = append(rows, []string{x.Resource, amount(x.Resource, x.Taken), amount(x.Resource, x.Limit), from})
	}
	table(b, rows)
}

// amount writes how much there is of a resource.
func amount(resource string, n float64) string {
	if resource == "memory" {
		return units.BytesSize(n)
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}
