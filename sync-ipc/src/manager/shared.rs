//! Types of the program's own that a manager serves.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::Refusal;

/// A type whose values live in a manager's server, and whose methods clients call. Written by
/// [`shared!`](crate::shared).
///
/// Several clients call at the same time, hence `Sync`. A method may block; it holds up the calls
/// of its own client's thread only.
pub trait Shared: Send + Sync + Sized + 'static {
    /// The arguments of the constructor.
    type Arguments: Serialize + DeserializeOwned;

    /// The name under which it is registered.
    const NAME: &'static str;

    /// Makes a value, in the server.
    fn create(arguments: Self::Arguments) -> Self;

    /// Calls the method of this name; `None` if there is none. The arguments and the result are
    /// serialised.
    #[doc(hidden)]
    fn call(&self, method: &str, arguments: &[u8]) -> Option<Result<Vec<u8>, Refusal>>;
}

/// A [`Shared`] value without its type.
pub trait AnyShared: Send + Sync {
    /// See [`Shared::call`].
    fn call_by_name(&self, method: &str, arguments: &[u8]) -> Option<Result<Vec<u8>, Refusal>>;
}

impl<T: Shared> AnyShared for T {
    fn call_by_name(&self, method: &str, arguments: &[u8]) -> Option<Result<Vec<u8>, Refusal>> {
        self.call(method, arguments)
    }
}

/// A new value, or why there is none.
type Created = Result<Box<dyn AnyShared>, Refusal>;

/// A shared type in the list of this program's.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    name: &'static str,
    create: fn(&[u8]) -> Created,
}

/// The shared types of this program.
#[linkme::distributed_slice]
pub static TYPES: [Registration];

impl Registration {
    /// The registration of `T`.
    #[must_use]
    pub const fn of<T: Shared>() -> Self {
        Self {
            name: T::NAME,
            create: |arguments| Ok(Box::new(T::create(decode::<T::Arguments>(arguments)?))),
        }
    }
}

/// Makes a value of the type that is registered under `name`.
pub(super) fn create(name: &str, arguments: &[u8]) -> Created {
    let registration = TYPES.iter().find(|registration| registration.name == name);
    let registration = registration.ok_or_else(|| Refusal::NotRegistered(name.to_owned()))?;
    (registration.create)(arguments)
}

/// Reads arguments. For [`shared!`](crate::shared).
///
/// # Errors
///
/// [`Refusal::BadValue`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(Refusal::BadValue("more bytes than the value has".into())),
        Err(error) => Err(Refusal::BadValue(error.to_string())),
    }
}

/// Writes a result. For [`shared!`](crate::shared).
///
/// # Errors
///
/// [`Refusal::BadValue`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Refusal> {
    postcard::to_stdvec(value).map_err(|error| Refusal::BadValue(error.to_string()))
}

/// Registers a type with all managers of this program, and defines its proxy: a type with the same
/// methods, each of which calls the server.
///
/// `new` names the constructor; its arguments are those of
/// [`ManagerClient::shared`](crate::manager::ManagerClient::shared), as a tuple. Each method takes
/// `&self`, and its arguments and result are anything that serde knows. The proxy's methods return
/// `Result<_, ManagerError>`.
///
/// ```
/// use std::sync::Mutex;
///
/// use sync_ipc::manager::Manager;
///
/// pub struct Account(Mutex<u64>);
///
/// impl Account {
///     fn open(balance: u64) -> Self {
///         Self(Mutex::new(balance))
///     }
///     fn deposit(&self, amount: u64) -> u64 {
///         let mut balance = self.0.lock().unwrap();
///         *balance += amount;
///         *balance
///     }
/// }
///
/// sync_ipc::shared! {
///     pub proxy AccountProxy for Account {
///         new open(balance: u64);
///         fn deposit(&self, amount: u64) -> u64;
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     sync_ipc::init();
///     let manager = Manager::start()?;
///     let account: AccountProxy = manager.shared::<Account>((40,))?.into();
///     assert_eq!(account.deposit(2)?, 42);
///     Ok(())
/// }
/// ```
#[macro_export]
macro_rules! shared {
    (
        $(#[$attribute:meta])*
        $visibility:vis proxy $proxy:ident for $type:ty {
            new $new:ident($($parameter:ident: $of:ty),* $(,)?);
            $($(#[$about:meta])* fn $method:ident(&self $(, $argument:ident: $takes:ty)* $(,)?)
                $(-> $returns:ty)?;)*
        }
    ) => {
        impl $crate::manager::Shared for $type {
            type Arguments = ($($of,)*);
            const NAME: &'static str = concat!(module_path!(), "::", stringify!($type));

            fn create(arguments: Self::Arguments) -> Self {
                let ($($parameter,)*) = arguments;
                <$type>::$new($($parameter),*)
            }

            fn call(
                &self,
                method: &str,
                arguments: &[u8],
            ) -> ::core::option::Option<
                ::core::result::Result<::std::vec::Vec<u8>, $crate::manager::Refusal>,
            > {
                $(if method == stringify!($method) {
                    return ::core::option::Option::Some(
                        $crate::__private::shared::decode::<($($takes,)*)>(arguments).and_then(
                            |($($argument,)*)| {
                                $crate::__private::shared::encode(
                                    &<$type>::$method(self, $($argument),*),
                                )
                            },
                        ),
                    );
                })*
                let _ = (method, arguments);
                ::core::option::Option::None
            }
        }

        const _: () = {
            #[$crate::__private::linkme::distributed_slice($crate::__private::shared::TYPES)]
            #[linkme(crate = $crate::__private::linkme)]
            static TYPE: $crate::__private::shared::Registration =
                $crate::__private::shared::Registration::of::<$type>();
        };

        $(#[$attribute])*
        #[derive(Clone, Debug)]
        $visibility struct $proxy($crate::manager::SharedProxy<$type>);

        impl $crate::__private::serde::Serialize for $proxy {
            fn serialize<S: $crate::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                $crate::__private::serde::Serialize::serialize(&self.0, serializer)
            }
        }

        impl<'de> $crate::__private::serde::Deserialize<'de> for $proxy {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                $crate::__private::serde::Deserialize::deserialize(deserializer).map(Self)
            }
        }

        impl ::core::convert::From<$crate::manager::SharedProxy<$type>> for $proxy {
            fn from(proxy: $crate::manager::SharedProxy<$type>) -> Self {
                Self(proxy)
            }
        }

        impl $proxy {
            $($(#[$about])*
            $visibility fn $method(
                &self $(, $argument: $takes)*
            ) -> ::core::result::Result<
                $crate::__shared_result!($($returns)?),
                $crate::manager::ManagerError,
            > {
                self.0.call(stringify!($method), &($($argument,)*))
            })*
        }
    };
}

/// The type of a method's result.
#[doc(hidden)]
#[macro_export]
macro_rules! __shared_result {
    () => {
        ()
    };
    ($type:ty) => {
        $type
    };
}
