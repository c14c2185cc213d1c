package observer

// ObserveSubscription is for tests.
const ObserveSubscription = observeSubscription
