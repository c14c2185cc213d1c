package wiretest

import "fmt"

// maxShown is the number of characters of a payload in a failure.
const maxShown = 300

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
