//! Types whose values may lie in shared memory.

use core::mem::MaybeUninit;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::segment::Block;

/// Plain data: every pattern of bits is a value, there is no padding, there are no pointers. By
/// `zerocopy`'s traits, so that `#[derive(FromBytes, IntoBytes, Immutable)]` makes a struct one.
///
/// A peer may write any bytes at any time. So no value in shared memory is ever borrowed: values
/// are copied out and copied in, and any bytes that come out are a value of the type.
///
/// A type without the traits is an error that names what to derive:
///
/// ```compile_fail,E0277
/// struct Point(u32, u32);
///
/// let segment = sync_ipc::Segment::anonymous(65536)?;
/// let points = sync_ipc::Queue::<Point>::create(&segment, "points", 16)?;
/// # Ok::<(), sync_ipc::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain data, and cannot lie in shared memory",
    note = "derive zerocopy's traits: #[derive(FromBytes, IntoBytes, Immutable)] and #[repr(C)]",
    note = "every pattern of bits must be a value, without padding or pointers: no `bool`, `enum`, \
            `String` or reference"
)]
pub trait Plain: FromBytes + IntoBytes + Immutable + 'static {}

impl<T: FromBytes + IntoBytes + Immutable + 'static> Plain for T {}

/// Copies a value out.
#[inline]
pub(crate) fn load<T: Plain>(block: &Block, offset: usize) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the bytes of `value`, borrowed for as long as the slice lives.
    block.read_new(offset, unsafe {
        core::slice::from_raw_parts_mut(value.as_mut_ptr().cast(), size_of::<T>())
    });
    // SAFETY: all bytes are initialised now, and `FromBytes` says that any bytes are a `T`.
    unsafe { value.assume_init() }
}

/// Copies a value in.
#[inline]
pub(crate) fn store<T: Plain>(block: &Block, offset: usize, value: &T) {
    block.write(offset, value.as_bytes());
}

/// A number for "this kind of object, of this type": FNV-1a over the kind, the type's name without
/// its path, its size and its alignment. The path is left out, because two programs that share a
/// type rarely have it in modules of the same name.
pub(crate) fn kind_of<T: 'static>(object: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    };
    eat(object.as_bytes());
    eat(&[0]);
    let name = core::any::type_name::<T>();
    for (index, path) in
        name.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).enumerate()
    {
        if index > 0 {
            eat(b"|");
        }
        eat(path.rsplit("::").next().unwrap_or(path).as_bytes());
    }
    eat(&(size_of::<T>() as u64).to_le_bytes());
    eat(&(align_of::<T>() as u64).to_le_bytes());
    hash
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    mod one {
        pub(super) struct Point(
            #[expect(dead_code, reason = "only its name and layout matter")] u32,
        );
    }
    mod other {
        pub(super) struct Point(
            #[expect(dead_code, reason = "only its name and layout matter")] u32,
        );
    }

    #[test]
    fn a_kind_is_an_object_a_name_and_a_layout_but_no_path() {
        assert_eq!(kind_of::<one::Point>("mutex"), kind_of::<other::Point>("mutex"));
        assert_eq!(kind_of::<[one::Point; 2]>("mutex"), kind_of::<[other::Point; 2]>("mutex"));
        assert_ne!(kind_of::<u32>("mutex"), kind_of::<i32>("mutex"));
        assert_ne!(kind_of::<u32>("mutex"), kind_of::<u32>("value"));
        assert_ne!(kind_of::<[u32; 2]>("mutex"), kind_of::<[u32; 3]>("mutex"));
    }
}
