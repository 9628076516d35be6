import Testing

@testable import Engine

@Suite("Waits for a process tree")
struct TreeWatchTests {
    private let main = Token(number: 1)
    private let first = Token(number: 7)
    private let second = Token(number: 8)

    @Test("answered when the tree is empty and every exit has been told, in either order")
    func bothOrders() {
        var watch = TreeWatch()
        watch.began(main)
        #expect(watch.wait(first) == .nothing)
        #expect(watch.reported() == .nothing)
        #expect(watch.ended(main) == .look)
        #expect(watch.looked(isEmpty: true) == .answer([first]))

        watch = TreeWatch()
        watch.began(main)
        #expect(watch.ended(main) == .nothing)
        #expect(watch.wait(first) == .look)
        #expect(watch.looked(isEmpty: false) == .arm)
        #expect(watch.reported() == .look)
        #expect(watch.looked(isEmpty: true) == .answer([first]))
    }

    @Test("a wait that was given up is not answered, and the one after it is")
    func givenUp() {
        var watch = TreeWatch()
        watch.began(main)
        #expect(watch.wait(first) == .nothing)
        #expect(watch.giveUp(first) == .nothing)
        #expect(watch.wait(second) == .nothing)
        #expect(watch.ended(main) == .look)
        #expect(watch.looked(isEmpty: true) == .answer([second]))
        #expect(watch.giveUp(first) == .nothing)
    }

    @Test("nobody is asked any more when the last wait is given up, and asked once for two")
    func armedOnce() {
        var watch = TreeWatch()
        #expect(watch.wait(first) == .look)
        #expect(watch.looked(isEmpty: false) == .arm)
        #expect(watch.wait(second) == .look)
        #expect(watch.looked(isEmpty: false) == .nothing)
        #expect(watch.giveUp(first) == .nothing)
        #expect(watch.giveUp(second) == .disarm)
        #expect(watch.wait(first) == .look)
        #expect(watch.looked(isEmpty: true) == .answer([first]))
    }

    @Test("a process that starts while the kernel is asked is waited for as well")
    func lateProcess() {
        var watch = TreeWatch()
        #expect(watch.wait(first) == .look)
        #expect(watch.looked(isEmpty: false) == .arm)
        watch.began(main)
        #expect(watch.reported() == .nothing)
        #expect(watch.ended(main) == .look)
        #expect(watch.looked(isEmpty: false) == .arm)
        #expect(watch.reported() == .look)
        #expect(watch.looked(isEmpty: true) == .answer([first]))
    }
}
